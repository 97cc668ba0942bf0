"""How a kind of backbone meets a task, written once for all tasks."""
