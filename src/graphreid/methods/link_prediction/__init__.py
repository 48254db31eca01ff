"""What CAGCN, EC-GCN and SGGNN share: a network that predicts the link between a query and each
candidate.
"""
