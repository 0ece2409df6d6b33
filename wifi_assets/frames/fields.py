"""The fields that the capture asks tshark for, and the messages' names for them.

Here belongs what both ends of the topic must agree on. Not here: how a message is parsed
(``parse.py``) or what a lake table holds (``schemas.py``).
"""

#: tshark's field names, in the order in which the capture passes them as ``-e``. In a message
#: (``tshark -T ek``) each dot becomes an underscore and each value a list of strings.
TSHARK_FIELDS = (
    "wlan.fc.type",
    "wlan.fc.type_subtype",
    "wlan_radio.channel",
    "wlan_radio.signal_percentage",
    "wlan_radio.signal_dbm",
    "wlan_radio.duration",
    "wlan.ra",
    "wlan.ra_resolved",
    "wlan.da",
    "wlan.da_resolved",
    "wlan.ta",
    "wlan.ta_resolved",
    "wlan.sa",
    "wlan.sa_resolved",
    "wlan.staa",
    "wlan.staa_resolved",
    "wlan.tagged.all",
    "wlan.tag.number",
    "wlan.ext_tag.number",
    "wlan.ht.capabilities",
    "wlan.tag.vendor.data",
    "wlan.tag.vendor.oui.type",
    "wlan.tag.oui",
    "wlan.country_info.code",
    "wps.device_name",
    "wlan.ssid",
)

#: The same fields as they are named in a message, beside ``timestamp``.
MESSAGE_FIELDS = tuple(field.replace(".", "_") for field in TSHARK_FIELDS)
