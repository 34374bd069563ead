import Testing

/// What needs the kernel, a broker and a registry to itself: one after the other.
@Suite(.serialized) enum OnRealParts {}
