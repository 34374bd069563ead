import WherryJSON

/// The operators' API as the service itself describes it (OpenAPI 3.1). One line per operation; a test holds it
/// against the router.
enum OpenAPI {
  struct Operation: Sendable {
    var method: String
    var path: String
    var summary: String
    var request: String?
    var response: String
    var status: String

    init(
      _ method: String, _ path: String, _ summary: String, takes request: String? = nil, gives response: String = "",
      status: String = "200"
    ) {
      self.method = method
      self.path = path
      self.summary = summary
      self.request = request
      self.response = response
      self.status = status
    }
  }

  static let operations: [Operation] = [
    Operation("get", "/v1/fleet", "Counts of the whole fleet", gives: "FleetSummary"),
    Operation("get", "/v1/devices", "Devices, of one group with ?group=", gives: "[DeviceSummary]"),
    Operation("get", "/v1/devices/{device}", "One device", gives: "DeviceSummary"),
    Operation("delete", "/v1/devices/{device}", "Remove a device and its rights", status: "204"),
    Operation(
      "get", "/v1/devices/{device}/logs", "A component's log (?component=, tail=, follow=1)", gives: "event-stream"),
    Operation(
      "post", "/v1/devices/{device}/restart", "Restart a component", takes: "ComponentReference", status: "204"),
    Operation("post", "/v1/claims", "Create a claim", takes: "ClaimRequest", gives: "ClaimSummary", status: "201"),
    Operation("get", "/v1/claims", "Claims that can still be used", gives: "[ClaimSummary]"),
    Operation("delete", "/v1/claims/{id}", "Revoke a claim", status: "204"),
    Operation(
      "post", "/v1/provision", "Exchange a claim and a CSR for a certificate", takes: "ProvisioningRequest",
      gives: "ProvisioningResponse", status: "201"),
    Operation(
      "post", "/v1/registry/password", "A password for the registry below /v2, for 12 hours", gives: "RegistryPassword",
      status: "201"),
    Operation("post", "/v1/tokens", "Create a token", takes: "TokenRequest", gives: "TokenSummary", status: "201"),
    Operation("get", "/v1/tokens", "Tokens, without their secrets", gives: "[TokenSummary]"),
    Operation("delete", "/v1/tokens/{name}", "Revoke a token", status: "204"),
    Operation(
      "post", "/v1/registry/gc", "Remove what nothing needs (?untagged=1, dryRun=1)", gives: "GarbageReport"),
    Operation("put", "/v1/blobs/{digest}", "Store a blob", takes: "bytes", status: "201"),
    Operation("get", "/v1/blobs/{digest}", "A blob, or a range of it", gives: "bytes"),
    Operation("head", "/v1/blobs/{digest}", "Whether a blob is there, and its size"),
    Operation(
      "post", "/v1/components", "Publish a version of a component", takes: "Publication",
      gives: "ComponentVersionSummary", status: "201"),
    Operation("get", "/v1/components", "All versions of all components", gives: "[ComponentVersionSummary]"),
    Operation("get", "/v1/components/{name}", "Versions of a component", gives: "[ComponentVersionSummary]"),
    Operation("get", "/v1/components/{name}/{version}", "A version's recipe", gives: "ComponentVersion"),
    Operation("get", "/v1/groups", "Groups", gives: "[GroupSummary]"),
    Operation("get", "/v1/groups/{group}", "One group", gives: "GroupSummary"),
    Operation("put", "/v1/groups/{group}", "Create a group", gives: "GroupSummary"),
    Operation("delete", "/v1/groups/{group}", "Remove a group", status: "204"),
    Operation("put", "/v1/groups/{group}/devices/{device}", "Add a device to a group", gives: "GroupSummary"),
    Operation("delete", "/v1/groups/{group}/devices/{device}", "Take a device out of a group", gives: "GroupSummary"),
    Operation(
      "post", "/v1/deployments",
      "Create a deployment and open its first wave; with ?plan=1 only say what it would do (DeploymentPreview)",
      takes: "DeploymentRequest",
      gives: "DeploymentSummary", status: "201"),
    Operation("get", "/v1/deployments", "Deployments, newest first", gives: "[DeploymentSummary]"),
    Operation("get", "/v1/deployments/{id}", "One deployment", gives: "DeploymentSummary"),
    Operation("post", "/v1/deployments/{id}/pause", "Release no more devices", gives: "DeploymentSummary"),
    Operation("post", "/v1/deployments/{id}/resume", "Go on", gives: "DeploymentSummary"),
    Operation("post", "/v1/deployments/{id}/retry", "Try again on devices that failed", gives: "DeploymentSummary"),
    Operation("post", "/v1/deployments/{id}/cancel", "End it; what changed stays", gives: "DeploymentSummary"),
    Operation("get", "/v1/deployments/{id}/watch", "The deployment at each change", gives: "event-stream"),
    Operation("get", "/healthz", "Whether the process lives"),
    Operation("get", "/readyz", "Whether the broker is connected"),
    Operation("get", "/metrics", "Prometheus metrics"),
    Operation("get", "/openapi.json", "This document"),
  ]

  static let document: JSON = [
    "openapi": "3.1.0",
    "info": ["title": "Wherry inventory", "version": "1"],
    "paths": paths,
    "components": [
      "schemas": schemas,
      "securitySchemes": ["token": ["type": "http", "scheme": "bearer"]],
    ],
    "security": [["token": []]],
  ]

  private static let paths: JSON = {
    var paths: [String: [String: JSON]] = [:]
    for operation in operations {
      var item: [String: JSON] = [
        "summary": .string(operation.summary),
        "responses": [
          operation.status: ["description": "done", "content": content(operation.response)],
          "default": [
            "description": "refused",
            "content": ["application/problem+json": ["schema": reference("Problem")]],
          ],
        ],
        "parameters": parameters(of: operation.path),
      ]
      if let request = operation.request { item["requestBody"] = ["content": content(request)] }
      paths[operation.path, default: [:]][operation.method] = .object(item)
    }
    return .object(paths.mapValues { .object($0) })
  }()

  private static func parameters(of path: String) -> JSON {
    .array(
      path.split(separator: "/").filter { $0.hasPrefix("{") }.map { part in
        [
          "name": .string(String(part.dropFirst().dropLast())), "in": "path", "required": true,
          "schema": ["type": "string"],
        ]
      })
  }

  private static func content(_ name: String) -> JSON {
    switch name {
    case "": [:]
    case "bytes": ["application/octet-stream": [:]]
    case "event-stream": ["text/event-stream": [:]]
    default:
      name.hasPrefix("[")
        ? [
          "application/json": [
            "schema": ["type": "array", "items": reference(String(name.dropFirst().dropLast()))]
          ]
        ] : ["application/json": ["schema": reference(name)]]
    }
  }

  private static func reference(_ name: String) -> JSON { ["$ref": .string("#/components/schemas/\(name)")] }

  /// The names of the members, as the wire types have them.
  private static let schemas: JSON = {
    let members: [String: [String]] = [
      "Problem": ["type", "title", "status", "detail", "remedy", "errors"],
      "FleetSummary": ["devices", "online", "byStatus", "byComponentState"],
      "DeviceSummary": [
        "name", "platform", "labels", "groups", "isOnline", "lastSeen", "agentVersion", "generation",
        "reportedGeneration", "status", "failure", "resumesAt", "components", "bytesDone", "bytesTotal", "transfers",
        "local",
      ],
      "ComponentReference": ["component"],
      "ClaimRequest": ["device", "groups", "labels", "expiresInSeconds", "uses"],
      "ClaimSummary": ["id", "claim", "device", "groups", "labels", "usesLeft", "createdAt", "expires"],
      "ProvisioningRequest": ["device", "csr", "platform", "labels"],
      "ProvisioningResponse": [
        "device", "certificate", "authority", "trust", "brokerHost", "brokerPort", "deviceURL",
      ],
      "RegistryPassword": ["password", "expires"],
      "TokenRequest": ["name", "role", "repositories", "expiresInSeconds"],
      "TokenSummary": ["name", "role", "repositories", "createdAt", "expires", "token"],
      "GarbageReport": ["blobs", "bytes", "manifests", "isDryRun"],
      "Publication": ["recipe", "fileName", "artifacts"],
      "ComponentVersionSummary": ["name", "version", "digest", "publisher", "summary", "createdAt"],
      "ComponentVersion": ["recipe", "source", "digest", "createdAt"],
      "GroupSummary": ["name", "devices", "deployment"],
      "DeploymentRequest": ["target", "components", "rollout", "apply"],
      "DeploymentPreview": ["target", "components", "waves", "devices", "forecast", "supersedes"],
      "DeploymentForecast": ["ending", "reason", "milliseconds", "waves", "bytes", "unknownPaces", "missing"],
      "RolloutPolicy": [
        "waves", "soakMilliseconds", "failuresMaximum", "failureShare", "causeBudgets", "canary", "concurrencyMaximum",
        "disruption", "bytesPerSecond", "deviceTimeoutSeconds", "silenceSeconds", "onFailure",
      ],
      "DeploymentDevice": [
        "name", "wave", "status", "generation", "failure", "resumesAt", "waitsFor", "bytesDone", "bytesTotal",
        "transfers",
      ],
      "WaveSummary": [
        "index", "size", "released", "committed", "failed", "parked", "silent", "deferred", "state",
      ],
      "DeploymentSummary": [
        "id", "target", "components", "state", "reason", "createdAt", "finishedAt", "waves", "devices", "policy",
      ],
    ]
    return .object(
      members.mapValues { names in
        ["type": "object", "properties": .object(Dictionary(uniqueKeysWithValues: names.map { ($0, [:]) }))]
      })
  }()
}
