"""What methods share that predict a link between a query and each image of its graph."""
