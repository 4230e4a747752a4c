"""Simulated annealing: chances that gradients do not take, and the table of their names.

`Metropolis` works on top of gradients: from where training ended it jumps, trains a little and
keeps what the Metropolis rule keeps. `Langevin` adds noise that cools down to every gradient.
`RandomWalk` needs no gradient at all; in large networks it moves in random directions, far fewer
than there are weights. All end at the best state that the held-out rows have seen, so that none can
lose what training had. None takes more passes over the rows than `Controller.total_passes` leaves.
To add one: a file with a class that extends `Annealing`, and its row in ANNEALING.
"""

from skvae.training.annealing.base import Annealing
from skvae.training.annealing.langevin import Langevin
from skvae.training.annealing.metropolis import Metropolis
from skvae.training.annealing.random_walk import RandomWalk

__all__ = ["ANNEALING", "Annealing", "Langevin", "Metropolis", "RandomWalk"]

ANNEALING: dict[str, type[Annealing]] = {
    "metropolis": Metropolis,
    "langevin": Langevin,
    "randomwalk": RandomWalk,
}
