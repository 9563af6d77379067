"""SOAP, in its parts: WSDLs that are read with care, calls that end, and a letter as an operation's input. Needs the extra `soap`."""
