"""What people look at: the report's page, its plots and its images."""
