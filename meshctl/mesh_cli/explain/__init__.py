"""`meshctl explain ID`: what an error or a check means, out of the pages that come with the command."""
