"""The VRRP state machine: `Node`, its events and actions, and the transition table it runs."""

from libvrrp.fsm.events import Action, Event
from libvrrp.fsm.node import Node
from libvrrp.fsm.table import INPUTS, OPERATIONS, STATES, TABLE, Row, diagram, listing

__all__ = ["INPUTS", "OPERATIONS", "STATES", "TABLE", "Action", "Event", "Node", "Row", "diagram", "listing"]
