"""One module for each kind of page; see ``leaderboard.site``."""
