"""`python -m mesh_cli` is `meshctl`."""

from mesh_cli.main import main

if __name__ == "__main__":
    main()
