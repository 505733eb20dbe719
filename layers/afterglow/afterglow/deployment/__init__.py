"""Opening a deployment: a data directory of this machine, or an AWS account."""
