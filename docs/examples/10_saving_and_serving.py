"""
Saving and serving a model
==========================

A fitted model is one file that holds no code. It is loaded in Python, used by the command
``skvae`` without Python, or exported as an ONNX graph.
"""

# %%
# Save and load. What is loaded gives the same answers, to the bit.

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine

import skvae
from skvae import VAETransformer

X = load_wine(as_frame=True).data
vae = VAETransformer(3, likelihood="gaussian_diag", max_iter=10, random_state=0).fit(X)
folder = tempfile.TemporaryDirectory()
path = Path(folder.name) / "wine.skvae"
vae.save(path)
loaded = skvae.load(path)
print(np.array_equal(loaded.transform(X), vae.transform(X)), f"{path.stat().st_size / 1000:.0f} kB")

# %%
# The command, as ``skvae transform wine.skvae rows.csv -o codes.csv`` in a shell.

rows, codes = Path(folder.name) / "rows.csv", Path(folder.name) / "codes.csv"
X.head(3).to_csv(rows, index=False)
command = [sys.executable, "-m", "skvae", "transform", str(path), str(rows), "-o", str(codes)]
subprocess.run([*command, "--quiet"], check=True)
print(codes.read_text())

# %%
# ONNX, for servers without Python or torch (``pip install "skvae[onnx]"``).

import onnxruntime

graph = Path(folder.name) / "wine.onnx"
vae.to_onnx(graph)
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
inputs = [(each.name, each.type, each.shape) for each in session.get_inputs()]
print(len(inputs), "inputs, the first:", inputs[0])
print("outputs:", [each.name for each in session.get_outputs()])
folder.cleanup()
