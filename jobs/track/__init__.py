"""MLflow as a view of what lies on disk."""
