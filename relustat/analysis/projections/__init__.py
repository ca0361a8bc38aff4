"""What in an input made a unit respond: deconvnet and guided backpropagation, strongest inputs."""
