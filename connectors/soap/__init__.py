"""SOAP: WSDLs read safely, calls with limits, and letters as input. Needs the extra `soap`."""
