import Glibc
import WherryLifecycle
import WherryModel

/// The poll loop. It sleeps until a descriptor has something or the next deadline passes; there is no other timer.
extension AgentEngine {
  enum Source {
    case transport
    case workload(WorkloadID)
    case probe(ComponentName)
    case fetch
    case planFetch
    case listener
    case client(LocalClient)
    case pressure
    case door(DockerDoor)
    case caller(LocalClient, DockerDoor)
    case container(ScriptContainer)
    case wake
  }

  /// One round: wait (at most `milliseconds`, or as long as nothing is due), then deal with everything that is there.
  /// `wake` is a descriptor that ends the wait, for signals.
  package func turn(wake: Int32 = -1, maximumWait milliseconds: Int64? = nil) {
    var entries: [pollfd] = []
    var sources: [Source] = []
    func add(_ descriptor: Int32, _ source: Source, wantsWrite: Bool = false, wantsRead: Bool = true) {
      guard descriptor >= 0 else { return }
      let events = (wantsRead ? Int16(POLLIN) : 0) | (wantsWrite ? Int16(POLLOUT) : 0)
      entries.append(pollfd(fd: descriptor, events: events, revents: 0))
      sources.append(source)
    }
    add(wake, .wake)
    add(ports.transport.pollDescriptor, .transport, wantsWrite: ports.transport.wantsWrite)
    for (id, workload) in workloads { add(workload.link.descriptor, .workload(id)) }
    for (name, probe) in probes {
      add(probe.descriptor, .probe(name), wantsWrite: probe.wantsWrite, wantsRead: !probe.wantsWrite)
    }
    for descriptor in fetch?.descriptors ?? [] { add(descriptor, .fetch) }
    add(planFetch?.descriptor ?? -1, .planFetch)
    add(ports.runner.pressure.descriptor, .pressure)
    if let server {
      add(server.descriptor, .listener)
      for client in server.clients { add(client.descriptor, .client(client), wantsWrite: client.wantsWrite) }
    }
    for door in docker.doors.values {
      add(door.server.descriptor, .door(door))
      for client in door.server.clients {
        add(client.descriptor, .caller(client, door), wantsWrite: client.wantsWrite)
      }
    }
    for container in docker.containers.values { add(container.link?.descriptor ?? -1, .container(container)) }
    let wait = min(waitMilliseconds, milliseconds ?? .max)
    poll(&entries, nfds_t(entries.count), Int32(clamping: wait))
    var transportEvents: Int16 = 0
    for (entry, source) in zip(entries, sources) where entry.revents != 0 {
      if case .transport = source { transportEvents = entry.revents } else { dispatch(source) }
    }
    let failing = Int16(POLLERR | POLLHUP)
    pumpTransport(
      readable: transportEvents & (Int16(POLLIN) | failing) != 0, writable: transportEvents & Int16(POLLOUT) != 0)
    tidy()
    advanceWithoutDescriptors()
    advanceTimers()
    drain()
    advanceContainers()
    collectGarbage()
    server?.removeClosed()
    for door in docker.doors.values { door.server.removeClosed() }
    planTidying()
  }

  private func dispatch(_ source: Source) {
    switch source {
    case .transport, .wake: break
    case .workload(let id): readWorkload(id)
    case .probe(let name): advanceProbe(name)
    case .fetch: advanceFetch()
    case .planFetch: advancePlanFetch()
    case .pressure: readPressure()
    case .listener: server?.accept()
    case .client(let client):
      serve(client)
      client.write()
    case .door(let door): door.server.accept()
    case .caller(let client, let door):
      serve(client, at: door)
      client.write()
    case .container(let container): readContainer(container)
    }
  }

  /// Links that have nothing to poll are asked each time: those that ended or are not reached yet, and all of them in
  /// tests.
  private func advanceWithoutDescriptors() {
    for id in workloads.keys.sorted() where workloads[id]?.link.descriptor ?? 0 < 0 { readWorkload(id) }
    for container in Array(docker.containers.values) where container.link?.descriptor ?? 0 < 0 {
      readContainer(container)
    }
    for name in probes.keys.sorted() where probes[name]?.descriptor ?? 0 < 0 { advanceProbe(name) }
    if fetch?.isDue == true { advanceFetch() }
    if planFetch?.descriptor ?? 0 < 0 { advancePlanFetch() }
    stepChores()
  }

  private func advanceTimers() {
    for (name, probe) in probes where now >= probe.deadline { advanceProbe(name) }
    if let deadline = fetch?.nextDeadline, now >= deadline { advanceFetch() }
    if let deadline = planFetch?.nextDeadline, now >= deadline { advancePlanFetch() }
    if outbox.isResendDue(now: now) { resendReports() }
    flushAcknowledgement()
    calm()
    listenAgain()
    if !followers.isEmpty { advanceFollowers() }
  }

  /// How long nothing is due.
  package var waitMilliseconds: Int64 {
    var wait = Int64(Int32.max)
    func due(_ instant: Instant?) {
      guard let instant else { return }
      wait = min(wait, max(0, instant.milliseconds(since: now)))
    }
    if let retrySaveAt { due(retrySaveAt) } else { due(machine.nextDeadline) }
    due(ports.transport.nextDeadline)
    due(fetch?.nextDeadline)
    due(planFetch?.nextDeadline)
    due(outbox.resendAt)
    due(outbox.flushAt)
    due(calmAt)
    due(tidyAt)
    due(listenAt)
    for probe in probes.values { due(probe.deadline) }
    for container in docker.containers.values { due(container.machine.nextDeadline) }
    if !followers.isEmpty { wait = min(wait, Self.followIntervalMilliseconds) }
    let isInboxDue = !(inbox.isEmpty && arrivals.isEmpty) && retrySaveAt == nil
    if !chores.isEmpty || isInboxDue || (isGarbageDue && canCollectGarbage) { wait = 0 }
    return wait
  }

  var canCollectGarbage: Bool { fetch == nil && planFetch == nil && machine.state.deployment == nil }

  // MARK: End

  /// Says goodbye and lets go of everything; workloads keep running. `waitMilliseconds` is for the broker to take the
  /// goodbye; its last will would say the same a little later.
  package func stop(waitMilliseconds: Int64 = 500) {
    log.info("stopping; components keep running")
    if isConnected {
      let deadline = now.advanced(byMilliseconds: waitMilliseconds)
      let token = publishPresence(isOnline: false)
      while !flushTransport(until: token), now < deadline {}
    }
    ports.transport.disconnect()
    for workload in workloads.values { workload.link.close() }
    for probe in probes.values { probe.cancel() }
    fetch?.cancel()
    planFetch?.cancel()
    server?.close()
    for door in docker.doors.values { door.server.close() }
    for container in docker.containers.values { container.link?.close() }
    _ = save()
    ports.journal.close()
  }

  /// One look at the broker's answers; true = it has the message, or is gone.
  private func flushTransport(until token: Int) -> Bool {
    let transport = ports.transport
    guard transport.pollDescriptor >= 0 else {
      _ = transport.pump(readable: true, writable: true, now: now)
      return true
    }
    let events = Int16(POLLIN) | (transport.wantsWrite ? Int16(POLLOUT) : 0)
    var entry = pollfd(fd: transport.pollDescriptor, events: events, revents: 0)
    poll(&entry, 1, 20)
    let writable = entry.revents & Int16(POLLOUT) != 0
    for event in transport.pump(readable: entry.revents & ~Int16(POLLOUT) != 0, writable: writable, now: now) {
      switch event {
      case .published(token), .disconnected: return true
      default: continue
      }
    }
    return false
  }
}
