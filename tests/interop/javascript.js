// SPDX-License-Identifier: Apache-2.0
// MQTT.js and the AWS IoT Device SDK v2 for JavaScript, asked what steps.py asks of the clients of Python.
// Arguments: host port ca certificate key thing which(mqttjs, aws) version(3, 5)
"use strict";
const fs = require("fs");
const [host, port, ca, certificate, key, thing, which, version] = process.argv.slice(2);
const SECONDS = 15;
const five = version === "5";

function late(promise, what) {
  return Promise.race([promise, new Promise((_, no) => setTimeout(() => no(new Error(`${what}: nothing for ${SECONDS} s`)), SECONDS * 1000))]);
}

class Inbox {
  constructor() { this.messages = []; this.waiting = []; }
  put(topic, payload) {
    const at = this.waiting.findIndex((each) => each.topic === topic);
    if (at >= 0) this.waiting.splice(at, 1)[0].yes(Buffer.from(payload));
    else this.messages.push([topic, Buffer.from(payload)]);
  }
  take(topic) {
    const at = this.messages.findIndex((each) => each[0] === topic);
    if (at >= 0) return Promise.resolve(this.messages.splice(at, 1)[0][1]);
    return late(new Promise((yes) => this.waiting.push({ topic, yes })), topic);
  }
}

class MqttJs {
  constructor(name, { clean = true, will } = {}) {
    this.inbox = new Inbox();
    this.options = {
      host, port: Number(port), protocol: "mqtts", servername: host, clientId: name, clean, keepalive: 60, reconnectPeriod: 0,
      protocolVersion: five ? 5 : 4, ca: fs.readFileSync(ca), cert: fs.readFileSync(certificate), key: fs.readFileSync(key),
    };
    if (five && !clean) this.options.properties = { sessionExpiryInterval: 600 };
    if (will) this.options.will = { topic: will[0], payload: will[1], qos: 1, retain: false };
  }
  async connect() {
    this.client = require("mqtt").connect(this.options);
    this.client.on("message", (topic, payload) => this.inbox.put(topic, payload));
    await late(new Promise((yes, no) => { this.client.once("connect", yes); this.client.once("error", no); }), "CONNACK");
    this.client.on("error", () => {});
  }
  subscribe(topic) { return late(this.client.subscribeAsync(topic, { qos: 1 }), "SUBACK"); }
  publish(topic, payload, qos) { return late(this.client.publishAsync(topic, payload, { qos }), "PUBACK"); }
  disconnect() { return late(this.client.endAsync(), "end"); }
  async abandon() { this.client.end(true); }
}

class AwsThree {
  constructor(name, { clean = true, will } = {}) {
    const { mqtt, iot } = require("aws-iot-device-sdk-v2");
    this.mqtt = mqtt;
    this.inbox = new Inbox();
    const builder = iot.AwsIotMqttConnectionConfigBuilder.new_mtls_builder_from_path(certificate, key);
    builder.with_certificate_authority_from_path(undefined, ca);
    builder.with_clean_session(clean).with_client_id(name).with_endpoint(host).with_port(Number(port));
    builder.with_keep_alive_seconds(60);
    if (will) builder.with_will(new mqtt.MqttWill(will[0], 1, will[1], false));
    this.client = new mqtt.MqttClient().new_connection(builder.build());
    this.client.on("message", (topic, payload) => this.inbox.put(topic, payload));
    this.client.on("error", () => {});
  }
  connect() { return late(this.client.connect(), "CONNACK"); }
  subscribe(topic) { return late(this.client.subscribe(topic, 1), "SUBACK"); }
  publish(topic, payload, qos) { return late(this.client.publish(topic, payload, qos), "PUBACK"); }
  disconnect() { return late(this.client.disconnect(), "end"); }
  async abandon() { await this.disconnect().catch(() => {}); }
}

class AwsFive {
  constructor(name, { clean = true, will } = {}) {
    const { mqtt5, iot } = require("aws-iot-device-sdk-v2");
    this.inbox = new Inbox();
    const builder = iot.AwsIotMqtt5ClientConfigBuilder.newDirectMqttBuilderWithMtlsFromPath(host, certificate, key);
    builder.withCertificateAuthorityFromPath(undefined, ca).withPort(Number(port));
    const connect = { clientId: name, keepAliveIntervalSeconds: 60 };
    if (!clean) connect.sessionExpiryIntervalSeconds = 600;
    if (will) connect.will = { topicName: will[0], payload: will[1], qos: 1 };
    builder.withConnectProperties(connect);
    builder.withSessionBehavior(clean ? mqtt5.ClientSessionBehavior.Clean : mqtt5.ClientSessionBehavior.RejoinAlways);
    this.client = new mqtt5.Mqtt5Client(builder.build());
    this.client.on("messageReceived", (event) => this.inbox.put(event.message.topicName, event.message.payload || ""));
    this.client.on("error", () => {});
  }
  connect() {
    const there = new Promise((yes, no) => {
      this.client.once("connectionSuccess", yes);
      this.client.once("connectionFailure", (event) => no(new Error(String(event.error))));
    });
    this.client.start();
    return late(there, "CONNACK");
  }
  subscribe(topic) { return late(this.client.subscribe({ subscriptions: [{ topicFilter: topic, qos: 1 }] }), "SUBACK"); }
  publish(topic, payload, qos) { return late(this.client.publish({ topicName: topic, payload, qos }), "PUBACK"); }
  disconnect() {
    const over = new Promise((yes) => this.client.once("stopped", yes));
    this.client.stop();
    return late(over, "end");
  }
  async abandon() { await this.disconnect().catch(() => {}); }
}

const Client = which === "mqttjs" ? MqttJs : five ? AwsFive : AwsThree;
const make = (name = "", options = {}) => new Client(thing + name, options);

function same(found, wanted) {
  if (String(found) !== wanted) throw new Error(`got '${found}' instead of '${wanted}'`);
}

async function round(qos) {
  const one = make();
  await one.connect();
  await one.subscribe("interop/round");
  await one.publish("interop/round", "\0 there and back", qos);
  same(await one.inbox.take("interop/round"), "\0 there and back");
  await one.disconnect();
}

const steps = {
  async connect() { const one = make(); await one.connect(); await one.disconnect(); },
  async subscribe() { const one = make(); await one.connect(); await one.subscribe("interop/a/+"); await one.disconnect(); },
  qos0: () => round(0),
  qos1: () => round(1),
  async will() {
    const watcher = make("-watcher"), one = make("", { will: ["interop/will", "gone"] }), two = make();
    await watcher.connect();
    await watcher.subscribe("interop/will");
    await one.connect();
    await two.connect();
    same(await watcher.inbox.take("interop/will"), "gone");
    await one.abandon();
    await two.disconnect();
    await watcher.disconnect();
  },
  async session() {
    const first = make("-sleeper", { clean: false });
    await first.connect();
    await first.subscribe("interop/asleep");
    await first.disconnect();
    const writer = make();
    await writer.connect();
    await writer.publish("interop/asleep", "while away", 1);
    await writer.disconnect();
    const again = make("-sleeper", { clean: false });
    await again.connect();
    same(await again.inbox.take("interop/asleep"), "while away");
    await again.disconnect();
  },
  async shadow() {
    const prefix = `$aws/things/${thing}/shadow`, one = make();
    await one.connect();
    for (const each of ["update/accepted", "update/delta", "get/accepted"]) await one.subscribe(`${prefix}/${each}`);
    await one.publish(`${prefix}/update`, JSON.stringify({ state: { desired: { lamp: thing } } }), 1);
    same(JSON.parse(await one.inbox.take(`${prefix}/update/delta`)).state.lamp, thing);
    await one.publish(`${prefix}/get`, "", 1);
    same(JSON.parse(await one.inbox.take(`${prefix}/get/accepted`)).state.desired.lamp, thing);
    await one.disconnect();
  },
  async jobs() {
    const prefix = `$aws/things/${thing}/jobs`, one = make();
    await one.connect();
    await one.subscribe(`${prefix}/start-next/accepted`);
    await one.publish(`${prefix}/start-next`, "{}", 1);
    const job = JSON.parse(await one.inbox.take(`${prefix}/start-next/accepted`)).execution.jobId;
    await one.subscribe(`${prefix}/${job}/update/accepted`);
    await one.publish(`${prefix}/${job}/update`, '{"status": "SUCCEEDED"}', 1);
    await one.inbox.take(`${prefix}/${job}/update/accepted`);
    await one.disconnect();
  },
};

(async () => {
  for (const [name, step] of Object.entries(steps)) {
    await step().then(() => console.log(`${name} ok`), (error) => console.log(`${name} ${String(error).split("\n")[0]}`));
  }
  process.exit(0);
})();
