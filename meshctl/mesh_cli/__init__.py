"""The command `meshctl`: one verb a file, loaded only when it is called."""
