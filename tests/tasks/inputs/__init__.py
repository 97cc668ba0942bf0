"""Tests of tasks/inputs."""
