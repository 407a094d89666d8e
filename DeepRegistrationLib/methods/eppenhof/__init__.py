"""The 3D U-Net of Eppenhof & Pluim (IEEE TMI 2019)."""
