"""`meshctl dashboard`: the picture of `meshctl graph` as a page that keeps itself up to date."""
