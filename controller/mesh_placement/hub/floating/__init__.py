"""A hub that floats: elected by witnesses, out of the copies that its last leader left there."""
