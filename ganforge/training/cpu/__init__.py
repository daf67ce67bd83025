"""CPU optimizations: faster kernels and a heap that keeps freed memory."""
