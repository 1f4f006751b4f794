"""What a sweep file says, and the tasks, costs and plan that follow from it."""
