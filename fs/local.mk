# fs/
