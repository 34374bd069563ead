/// What a deployment does to one component of a device.
package struct ComponentChange: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case added, removed
    /// Another version.
    case changed
    /// The same version made of other things: an image, limits, artifacts.
    case rebuilt
    /// Other configuration is asked for; it restarts if that changes what it sees.
    case reconfigured
    case unchanged
  }

  package var component: ComponentName
  package var kind: Kind
  package var from: Version?
  package var to: Version?
  package init(component: ComponentName, kind: Kind, from: Version?, to: Version?) {
    self.component = component
    self.kind = kind
    self.from = from
    self.to = to
  }
}
