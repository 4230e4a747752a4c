"""The variational autoencoder: inference, networks, prior, observation."""
