"""The learned simulator: graphs, networks, refiner, training, simulation."""
