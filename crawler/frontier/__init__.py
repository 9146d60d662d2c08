"""What next, and when: politeness is a property of what is handed out, so workers never sleep for it."""
