"""E-mail, in its parts: what a mail says, who has it already, and the server that takes it."""
