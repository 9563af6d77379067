"""E-mail: composing mails, tracking who has which, and the server that takes them."""
