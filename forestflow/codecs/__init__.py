"""Bytes to domain values and back, pure: no I/O, so that they run in a replica, in a router or under a fuzzer.

=====================  ===============================================================================================
``table``              the inference codecs by the number that frames carry, and their interface
``basic``              BASIC JSON, the hot path; ``inference_json`` and ``prediction_json`` are its two halves
``pieces``             the same for long bodies, a piece at a time
``protobuf``           the same in binary
``graphpipe``          GraphPipe; its FlatBuffers are ``graphpipe_reader`` and ``graphpipe_writer``
``tfinfer``            tf-infer's REST bodies
``columnar``           columns as they lie in memory, between routers and replicas
``columns``            records to columns, shared by both
``control``            bodies and replies of the control API
``journal``            the registry's events as JSON documents
``messages, reports``  domain values as protobuf messages and back
``message_json``       protobuf messages from strict JSON; ``strict_json`` reads its single values
``json_schema``        JSON Schemas of the messages; ``examples`` goes with them
=====================  ===============================================================================================

Only ForestFlowErrors leave a decoder, whatever its bytes.
"""
