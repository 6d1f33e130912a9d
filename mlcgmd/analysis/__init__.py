"""What is measured on trajectories, of MD and of simulations alike."""
