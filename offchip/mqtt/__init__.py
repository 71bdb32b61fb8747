# SPDX-License-Identifier: Apache-2.0
"""MQTT 3.1, 3.1.1 and 5.0 packets, from and to bytes; nothing here knows what a broker does with them."""

from offchip.mqtt.codec import PacketReader, encode
from offchip.mqtt.packets import (
    V3_1,
    V3_1_1,
    V5,
    Auth,
    Connack,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Pingreq,
    Pingresp,
    Properties,
    Property,
    Puback,
    Publish,
    Qos2Ack,
    Reason,
    Suback,
    Subscribe,
    Subscription,
    Unsuback,
    Unsubscribe,
    UnsupportedVersion,
    Will,
)

__all__ = ["Auth", "Connack", "Connect", "Disconnect", "Malformed", "Packet", "PacketReader", "Pingreq", "Pingresp",
           "Properties", "Property", "Puback", "Publish", "Qos2Ack", "Reason", "Suback", "Subscribe", "Subscription",
           "Unsuback", "Unsubscribe", "UnsupportedVersion", "V3_1", "V3_1_1", "V5", "Will", "encode"]
