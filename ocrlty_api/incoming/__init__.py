"""What clients send, made safe before anything else sees it: bodies, uploads, images, names, URLs."""
