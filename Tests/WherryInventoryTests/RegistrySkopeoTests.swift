import Glibc
import Testing
import WherryCrypto
import WherryJSON
import WherryModel
import WherryOCI
import WherryTestSupport

@testable import WherryInventory

/// The registry as a client sees it that somebody else wrote.
@Suite(
  .serialized, .timeLimit(.minutes(10)),
  .enabled(if: RunningService.isBrokerInstalled, "mosquitto is not installed: apt-get install mosquitto"),
  .enabled(if: ChildProcess.find("skopeo") != nil, "skopeo is not installed: apt-get install skopeo"))
struct RegistrySkopeoTests {
  private let directory = TemporaryDirectory()

  /// An OCI image layout (OCI image-spec, image-layout.md) of one image whose layer is an empty tar archive.
  private func makeLayout(_ name: String) -> TestManifest {
    let layer = [UInt8](repeating: 0, count: 10_240)
    let config: JSON = [
      "architecture": "amd64", "os": "linux", "config": ["Cmd": ["/serve"]],
      "rootfs": ["type": "layers", "diff_ids": [.string("\(SHA256.digest(of: layer))")]],
    ]
    let image = TestManifest(config: config.canonicalBytes, layer: layer)
    let blobs = directory.file(name) + "/blobs/sha256"
    for path in [directory.file(name), directory.file(name) + "/blobs", blobs] { mkdir(path, 0o755) }
    for blob in image.blobs + [image.bytes] {
      TestFile.write(blob, to: "\(blobs)/\(SHA256.digest(of: blob).hex)")
    }
    TestFile.write("{\"imageLayoutVersion\":\"1.0.0\"}".utf8, to: directory.file(name) + "/oci-layout")
    TestFile.write(TestManifest.index([image.descriptor]), to: directory.file(name) + "/index.json")
    return image
  }

  private struct Outcome: Sendable {
    var code: Int32
    var output: String
  }

  /// On a thread of its own: the service that it speaks to needs the others.
  private func skopeo(_ arguments: [String]) async throws -> String {
    let program = try #require(ChildProcess.find("skopeo"))
    let outcome = try await OwnThread.run {
      let result = ChildProcess.run(program, ["--insecure-policy"] + arguments)
      return Outcome(code: result?.code ?? -1, output: result?.output ?? "skopeo could not be started")
    }
    #expect(outcome.code == 0, "\(arguments.joined(separator: " ")): \(outcome.output)")
    return outcome.output
  }

  @Test func skopeoPushesAnImageAndPullsTheSameOne() async throws {
    let image = makeLayout("in")
    let certificates = directory.file("certificates")
    mkdir(certificates, 0o755)
    try await RegistryClient.with { client in
      TestFile.write(client.service.authority.utf8, to: certificates + "/wherry.crt")
      let host = client.service.endpoints.operatorURL.dropFirst("https://".count)
      let remote = "docker://\(host)/team/web:1"
      let credentials = "anybody:\(client.token)"
      _ = try await skopeo([
        "copy", "--quiet", "--preserve-digests", "--dest-cert-dir", certificates, "--dest-creds", credentials,
        "oci:\(directory.file("in"))", remote,
      ])
      #expect(try await client.get("/v2/team/web/manifests/1").body == image.bytes)
      _ = try await skopeo([
        "copy", "--quiet", "--preserve-digests", "--src-cert-dir", certificates, "--src-creds", credentials, remote,
        "oci:\(directory.file("out"))",
      ])
      for blob in image.blobs + [image.bytes] {
        let path = directory.file("out") + "/blobs/sha256/\(SHA256.digest(of: blob).hex)"
        #expect(TestFile.read(path) == blob)
      }
      let access = ["--cert-dir", certificates, "--creds", credentials]
      let tags = try await skopeo(["list-tags"] + access + [String(remote.dropLast(2))])
      #expect(tags.contains("\"1\""))
      _ = try await skopeo(["delete"] + access + [remote])
      #expect(try await client.head("/v2/team/web/manifests/\(image.digest)").status == 404)
    }
  }
}

extension TestManifest {
  init(config: [UInt8], layer: [UInt8]) {
    self.config = config
    self.layer = layer
    members = [
      "schemaVersion": 2, "mediaType": .string(MediaType.ociManifest),
      "config": Self.descriptor(config, "application/vnd.oci.image.config.v1+json"),
      "layers": [Self.descriptor(layer, "application/vnd.oci.image.layer.v1.tar")],
    ]
  }
}
