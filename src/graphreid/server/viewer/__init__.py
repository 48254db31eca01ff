"""The viewer of a gallery: pages that the service renders, without anything from elsewhere."""
