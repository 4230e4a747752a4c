"""Fitted models in the formats of others: graphs of ONNX, alone or inside a Pipeline."""
