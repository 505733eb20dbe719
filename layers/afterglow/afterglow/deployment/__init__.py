"""Deployments: the stores of a data directory of this machine, or of an AWS account."""
