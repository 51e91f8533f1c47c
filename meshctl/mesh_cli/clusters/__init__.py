"""`meshctl clusters`: the clusters of a hub, and what a person does with one of them."""
