"""How much one instance carries, the scaling settings that follow, and a surge against them: `make capacity`."""
