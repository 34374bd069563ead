import ArgumentParser

await InventoryCommand.main()
