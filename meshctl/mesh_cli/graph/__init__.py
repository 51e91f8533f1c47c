"""`meshctl graph`: the clusterset as a picture; its values and sections are the dashboard's too."""
