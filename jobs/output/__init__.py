"""What people see: tables, figures, the live view, a webhook, and no secrets."""
