"""One module for each kind of download; see ``leaderboard.site``."""
