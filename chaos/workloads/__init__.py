"""What loads the cluster during a drill, and what reads the result afterwards."""
