"""Start DINOv Studio: `python app.py` serves the page, `python app.py --help` says what else."""

from app.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
