import HTTPTypes

/// Header fields of the OCI distribution specification and of Docker's registry before it, which clients still expect.
extension HTTPField.Name {
  static let dockerContentDigest = registryField("Docker-Content-Digest")
  static let dockerUploadUUID = registryField("Docker-Upload-UUID")
  /// Docker's clients take this for the sign that they speak to a registry.
  static let dockerAPIVersion = registryField("Docker-Distribution-API-Version")
  static let ociSubject = registryField("OCI-Subject")
  static let ociTag = registryField("OCI-Tag")
  static let ociFiltersApplied = registryField("OCI-Filters-Applied")
  static let webLink = registryField("Link")

  private static func registryField(_ text: String) -> HTTPField.Name {
    guard let name = HTTPField.Name(text) else { preconditionFailure("\"\(text)\" is no name of a header field") }
    return name
  }
}
