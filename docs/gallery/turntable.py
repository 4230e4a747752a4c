"""Objects on a turntable: their views are a loop, and codes between two views are a view.

20 objects were photographed every 5 degrees. Both models see every fourth view (20 degrees apart)
in training, as 16 codes. The codes of one object's views close to a loop. Halfway between the codes
of two views that were seen lies a code; decoded, it can be compared with the photograph
that was taken halfway and that no model has seen. PCA can only mix the pixels of the two.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.decomposition import PCA

from skvae import Conv, VAETransformer

STEP=4
def main():
    from time import perf_counter
    import sys
    with np.load("coil20.npz") as arrays:
        views = arrays["X"].reshape(20, 72, 32, 32).swapaxes(2, 3) / 255.0
    views = views.reshape(20, 72, 1024)
    for STEP in (2,4):
      X=views[:, ::STEP].reshape(-1,1024)
      half=views[:, STEP//2::STEP]
      for k in (8,16,):
       for arch in ("mlp","conv") if STEP==4 else ("mlp",):
        s=perf_counter()
        pca = PCA(k,random_state=0).fit(X)
        vae = VAETransformer(k, architecture=arch, random_state=0).fit(X)
        for name, m in (("PCA",pca),("VAE",vae)):
            codes=m.transform(X).reshape(20,-1,k)
            between=(codes+np.roll(codes,-1,1))/2
            pic=m.inverse_transform(between.reshape(-1,k)).reshape(half.shape)
            ref=m.inverse_transform(m.transform(half.reshape(-1,1024)))
            print(STEP,k,arch,name,"between",((pic-half)**2).mean(),"recon heldout",((ref-half.reshape(-1,1024))**2).mean(), "train",((m.inverse_transform(m.transform(X))-X)**2).mean())
        print(round(perf_counter()-s,1), vae.n_iter_,vae.kept_,flush=True)
main()
