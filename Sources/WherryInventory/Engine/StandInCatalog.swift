import WherryCrypto
import WherryDatabase
import WherryModel
import WherryPlanning
import WherryRecipe

/// What is published, and stand-ins for the components that Greengrass recipes take for granted.
enum StandInCatalog {
  /// A name that an operator has published loses its stand-in with all versions: the operator decides what it is.
  static func catalog(of components: [ComponentRecord]) -> Catalog {
    let published = Set(components.map(\.recipe.name))
    let own = components.map { CatalogEntry(recipe: $0.recipe, digest: $0.digest) }
    return Catalog(entries: own + standIns.filter { !published.contains($0.recipe.name) })
  }

  private static let standIns: [CatalogEntry] = StandIn.all.flatMap { standIn in
    StandIn.versions.map { version in
      let recipe = standIn.recipe(version)
      return CatalogEntry(recipe: recipe, digest: SHA256.digest(of: recipe.json.canonicalBytes))
    }
  }
}
