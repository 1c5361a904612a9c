"""``python -m chaos`` is ``bascule``."""

from chaos.cli import main

if __name__ == "__main__":
    main()
