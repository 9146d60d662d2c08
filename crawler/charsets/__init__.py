"""Character encodings as the WHATWG Encoding Standard has them: names, decoders and encoders. Knows nothing of HTML."""
